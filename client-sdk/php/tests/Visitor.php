<?php

/**
 * Owns a visitor of a site under test: its cookies. It runs no scripts of pages.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

/** A browser without scripts. */
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
        return $this->send();
    }

    /** @param array<string, string> $fields a form */
    public function post(string $path, array $fields): string
    {
        curl_setopt_array($this->handle, [
            CURLOPT_URL => $this->site . $path,
            CURLOPT_POST => true,
            CURLOPT_POSTFIELDS => http_build_query($fields),
        ]);
        return $this->send();
    }

    private function send(): string
    {
        $answer = curl_exec($this->handle);
        if ($answer === false) {
            throw new \RuntimeException('The site does not answer: ' . curl_error($this->handle));
        }
        $this->status = (int) curl_getinfo($this->handle, CURLINFO_RESPONSE_CODE);
        return (string) $answer;
    }
}
