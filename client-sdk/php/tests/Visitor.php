<?php

/**
 * Owns a visitor of a site under test: their cookies. It runs no scripts of pages.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

/** Somebody with a browser. */
final class Visitor
{
    /** The status of the last answer. */
    public int $status = 0;
    private readonly \CurlHandle $handle;

    public function __construct(private readonly string $site)
    {
        $this->handle = curl_init();
        curl_setopt_array($this->handle, [CURLOPT_RETURNTRANSFER => true, CURLOPT_COOKIEFILE => '', CURLOPT_TIMEOUT => 20]);
    }

    /** Opens a page. */
    public function get(string $path): string
    {
        curl_setopt_array($this->handle, [CURLOPT_URL => $this->site . $path, CURLOPT_HTTPGET => true]);
        return $this->ask();
    }

    /** @param array<string, string> $fields a form */
    public function post(string $path, array $fields): string
    {
        curl_setopt_array($this->handle, [
            CURLOPT_URL => $this->site . $path,
            CURLOPT_POST => true,
            CURLOPT_POSTFIELDS => http_build_query($fields),
        ]);
        return $this->ask();
    }

    private function ask(): string
    {
        $answer = curl_exec($this->handle);
        if ($answer === false) {
            throw new \RuntimeException('The site does not answer: ' . curl_error($this->handle));
        }
        $this->status = (int) curl_getinfo($this->handle, CURLINFO_RESPONSE_CODE);
        return (string) $answer;
    }
}
