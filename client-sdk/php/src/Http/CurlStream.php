<?php

/**
 * Owns one answer that is read while it comes. It does not know what its bytes mean, nor when to come back.
 */

declare(strict_types=1);

namespace Fanwire\Http;

use Fanwire\Exception\Unreachable;

/**
 * An answer that is read piece by piece. Nothing is read ahead of who asks, so a slow reader slows the connection and
 * not its own memory.
 *
 * @internal
 */
final class CurlStream
{
    private readonly \CurlMultiHandle $multi;
    private readonly ForkGuard $guard;
    private string $arrived = '';
    private bool $isAtEnd = false;
    /** @var array<string, string> */
    private array $headers;

    /**
     * @param array<string, string> $headers filled by the handle as they come
     */
    public function __construct(
        private readonly \CurlHandle $handle,
        array &$headers,
        private readonly Request $request,
    ) {
        $this->headers = &$headers;
        $arrived = &$this->arrived;
        curl_setopt($handle, CURLOPT_WRITEFUNCTION, static function ($handle, string $bytes) use (&$arrived): int {
            $arrived .= $bytes;
            return strlen($bytes);
        });
        $this->guard = new ForkGuard();
        $this->multi = curl_multi_init();
        curl_multi_add_handle($this->multi, $handle);
    }

    public function __destruct()
    {
        if ($this->guard->isForked()) {
            ForkGuard::keep($this->multi, $this->handle);
            return;
        }
        curl_multi_remove_handle($this->multi, $this->handle);
        curl_multi_close($this->multi);
    }

    /**
     * Waits for the network, at most so many seconds, and leaves what comes to be read.
     *
     * @throws Unreachable when no answer can come any more
     */
    public function wait(float $seconds): void
    {
        if ($this->guard->isForked()) {
            // For this process the answer ends here: the parent reads the rest.
            $this->isAtEnd = true;
        }
        if ($this->isAtEnd) {
            return;
        }
        curl_multi_exec($this->multi, $active);
        if ($this->arrived === '' && $active > 0) {
            // Curl says -1 where it has nothing to wait on yet, as while a name is being resolved.
            if (curl_multi_select($this->multi, $seconds) < 0) {
                usleep(5000);
            }
            curl_multi_exec($this->multi, $active);
        }
        while (($news = curl_multi_info_read($this->multi)) !== false) {
            $this->isAtEnd = true;
            $errno = (int) $news['result'];
            // An answer that ends in the middle is an end like any other for who has its head; the reader resumes.
            if ($errno !== CURLE_OK && $this->status() === 0) {
                throw CurlTransport::unreachable($this->request, $errno);
            }
        }
    }

    /**
     * Waits for bytes, at most so many seconds.
     *
     * @return string|null what came, '' if nothing did, null at the end of the answer
     * @throws Unreachable when no answer can come any more
     */
    public function read(float $seconds): ?string
    {
        if ($this->arrived === '' || $this->guard->isForked()) {
            $this->wait($seconds);
        }
        if ($this->arrived === '' && $this->isAtEnd) {
            return null;
        }
        $bytes = $this->arrived;
        $this->arrived = '';
        return $bytes;
    }

    /** Returns whether another process opened this answer; here nothing more of it can be read. */
    public function isForked(): bool
    {
        return $this->guard->isForked();
    }

    /** The status of the answer, or 0 while none has come. */
    public function status(): int
    {
        // An interim answer (1xx) is none.
        $status = (int) curl_getinfo($this->handle, CURLINFO_RESPONSE_CODE);
        return $status < 200 ? 0 : $status;
    }

    /** @return array<string, string> the headers, by their names in lower case */
    public function headers(): array
    {
        return $this->headers;
    }
}
