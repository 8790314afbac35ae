<?php

/**
 * Owns one response that is read while it arrives. It does not know what its bytes mean, nor when to reconnect.
 */

declare(strict_types=1);

namespace Fanwire\Http;

use Fanwire\Exception\Unreachable;

/**
 * A response that is read piece by piece. It reads no further than its reader, so that a slow reader does not fill its
 * memory.
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
     * @param array<string, string> $headers filled by the handle as they arrive
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
     * Waits for bytes, at most the given seconds, and leaves them for `read`.
     *
     * @throws Unreachable when the connection fails before the response
     */
    public function wait(float $seconds): void
    {
        if ($this->guard->isForked()) {
            // For this process the response ends here: the parent reads the rest.
            $this->isAtEnd = true;
        }
        if ($this->isAtEnd) {
            return;
        }
        curl_multi_exec($this->multi, $active);
        if ($this->arrived === '' && $active > 0) {
            // curl returns -1 while it has no socket to wait for, as during a name lookup.
            if (curl_multi_select($this->multi, $seconds) < 0) {
                usleep(5000);
            }
            curl_multi_exec($this->multi, $active);
        }
        while (($news = curl_multi_info_read($this->multi)) !== false) {
            $this->isAtEnd = true;
            $errno = (int) $news['result'];
            // A response that breaks after its head is an ordinary end; the reader resumes.
            if ($errno !== CURLE_OK && $this->status() === 0) {
                throw CurlTransport::unreachable($this->request, $errno);
            }
        }
    }

    /**
     * Waits for bytes, at most the given seconds.
     *
     * @return string|null the bytes, '' if none arrived, null at the end of the response
     * @throws Unreachable when the connection fails before the response
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

    /** Returns whether another process opened this response; this process can read no more of it. */
    public function isForked(): bool
    {
        return $this->guard->isForked();
    }

    /** Returns the status of the response, or 0 before it arrives. */
    public function status(): int
    {
        // An interim response (1xx) does not count.
        $status = (int) curl_getinfo($this->handle, CURLINFO_RESPONSE_CODE);
        return $status < 200 ? 0 : $status;
    }

    /** @return array<string, string> the headers, by name in lower case */
    public function headers(): array
    {
        return $this->headers;
    }
}
