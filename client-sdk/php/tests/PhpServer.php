<?php

/**
 * Owns an application of a test under `php -S`. It does not know what the application does.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

/** A web server on a free port. It is killed when the object is destroyed. */
final class PhpServer
{
    public readonly string $url;
    private readonly Process $process;

    /**
     * @param string                $place       a script that answers every request, or the folder of a site
     * @param array<string, string> $environment variables for the script
     * @param int                   $port        0 for a free one
     */
    public function __construct(string $place, array $environment = [], int $port = 0)
    {
        $options = ['-d', 'display_errors=0', '-d', 'log_errors=1', '-d', 'error_log='];
        $what = is_dir($place) ? ['-t', $place] : [$place];
        // With several workers, a script may wait for the broker while the broker waits for another script.
        $environment += ['PHP_CLI_SERVER_WORKERS' => '3'];
        $this->process = new Process([PHP_BINARY, ...$options, '-S', "127.0.0.1:$port", ...$what], $environment);
        $this->url = $this->process->await('~(http://127\.0\.0\.1:\d+)~')[1];
    }

    /** Returns a free port, for two programs that need each other's address before they start. */
    public static function freePort(): int
    {
        $socket = stream_socket_server('tcp://127.0.0.1:0');
        if ($socket === false) {
            throw new \RuntimeException('There is no free port.');
        }
        return (int) substr((string) strrchr((string) stream_socket_get_name($socket, false), ':'), 1);
    }

    /** Returns the output of the server, with error_log of the script. */
    public function visits(): string
    {
        return $this->process->said();
    }

    /**
     * Waits until the output matches an expression.
     *
     * @return list<string> the groups of the match
     */
    public function await(string $expression): array
    {
        return $this->process->await($expression);
    }
}
