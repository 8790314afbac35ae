<?php

/**
 * Owns one program that a test has started: its output and its end. It does not know what the program does.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

/** A running program. It is killed when the object is destroyed. */
final class Process
{
    /** The maximum wait for expected output, in seconds. */
    private const PATIENCE = 20.0;

    /** @var resource */
    private $process;
    /** @var resource */
    private $output;
    private string $said = '';

    /**
     * Starts a program whose output and errors are read together.
     *
     * @param list<string>          $command
     * @param array<string, string> $environment more variables; FANWIRE_ variables of the test are not passed on
     */
    public function __construct(array $command, array $environment = [])
    {
        $inherited = array_filter(
            getenv(),
            static fn (string $name): bool => !str_starts_with($name, 'FANWIRE_'),
            ARRAY_FILTER_USE_KEY,
        );
        $ends = [0 => ['file', '/dev/null', 'r'], 1 => ['pipe', 'w'], 2 => ['redirect', 1]];
        // In a session of its own, so that its child processes end with it.
        $process = proc_open(['setsid', ...$command], $ends, $pipes, null, $environment + $inherited);
        if ($process === false) {
            throw new \RuntimeException("$command[0] does not start.");
        }
        $this->process = $process;
        $this->output = $pipes[1];
        stream_set_blocking($this->output, false);
    }

    public function __destruct()
    {
        $this->end(SIGKILL);
    }

    /**
     * Waits until the output of the program matches an expression.
     *
     * @return list<string> the groups of the match
     */
    public function await(string $expression): array
    {
        $deadline = microtime(true) + self::PATIENCE;
        while (preg_match($expression, $this->said(), $match) !== 1) {
            if (microtime(true) > $deadline || feof($this->output)) {
                throw new \RuntimeException("The output does not match $expression:\n{$this->said}");
            }
            $readable = [$this->output];
            $none = null;
            stream_select($readable, $none, $none, 0, 100_000);
        }
        return $match;
    }

    /** Returns its output so far. */
    public function said(): string
    {
        while (is_resource($this->output) && ($bytes = fread($this->output, 65_536)) !== false && $bytes !== '') {
            $this->said .= $bytes;
        }
        return $this->said;
    }

    /** Sends a signal, to its children too, and does not wait. */
    public function signal(int $signal): void
    {
        posix_kill(-proc_get_status($this->process)['pid'], $signal);
    }

    /** Ends it and waits for its end. */
    public function end(int $signal = SIGTERM): void
    {
        if (is_resource($this->process)) {
            $this->signal($signal);
            // Read to the end: a program that logs into a closed pipe may not end properly.
            stream_set_blocking($this->output, true);
            while (!feof($this->output)) {
                $this->said .= (string) fread($this->output, 65_536);
            }
            fclose($this->output);
            proc_close($this->process);
        }
    }
}
