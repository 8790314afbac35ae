<?php

/**
 * Owns an application of a test under `php -S`. It does not know what the application does.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

/** A web server on a free port that runs one script for every request; it is ended when the object goes. */
final class PhpServer
{
    public readonly string $url;
    private readonly Process $process;

    /** @param array<string, string> $environment variables for the script */
    public function __construct(string $script, array $environment = [])
    {
        $command = [PHP_BINARY, '-d', 'display_errors=0', '-d', 'log_errors=1', '-d', 'error_log=', '-S', '127.0.0.1:0', $script];
        $this->process = new Process($command, $environment);
        $this->url = $this->process->await('~(http://127\.0\.0\.1:\d+)~')[1];
    }

    /** What it, and the script by error_log, has said. */
    public function visits(): string
    {
        return $this->process->said();
    }

    /**
     * Waits until something like this was said.
     *
     * @return list<string> what the expression has caught
     */
    public function await(string $expression): array
    {
        return $this->process->await($expression);
    }
}
