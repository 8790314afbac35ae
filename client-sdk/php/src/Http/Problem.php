<?php

/**
 * Owns which exception a response without success becomes. It does not know the call.
 */

declare(strict_types=1);

namespace Fanwire\Http;

use Fanwire\Exception\BadRequest;
use Fanwire\Exception\FanwireException;
use Fanwire\Exception\Forbidden;
use Fanwire\Exception\HistoryOff;
use Fanwire\Exception\RateLimited;
use Fanwire\Exception\TooLarge;
use Fanwire\Exception\Unauthorized;
use Fanwire\Exception\Unavailable;
use Fanwire\Exception\UnexpectedAnswer;
use Fanwire\Payload;

/**
 * Makes exceptions of responses without success: `application/problem+json` (RFC 9457) of the broker, or the response of
 * a proxy.
 *
 * @internal
 */
final class Problem
{
    /**
     * Returns the exception for a response.
     *
     * @param string $hint a sentence to add where the response is not from a broker; it begins with a space
     */
    public static function exception(Answer $answer, string $hint = ''): FanwireException
    {
        $retryAfter = self::retryAfter($answer);
        $problem = self::problem($answer);
        if ($problem === null) {
            return self::foreign($answer, $retryAfter, $hint);
        }
        $code = $problem['code'];
        $class = self::classOf($code, $answer->status);
        return new $class($problem['detail'], $code, $answer->status, $retryAfter);
    }

    /**
     * Returns the class of the exception for an error code of the broker.
     *
     * @return class-string<FanwireException>
     */
    public static function classOf(string $code, int $status): string
    {
        return match (true) {
            $code === 'unauthorized', $code === 'token_expired' => Unauthorized::class,
            $code === 'forbidden' => Forbidden::class,
            $code === 'too_large' => TooLarge::class,
            $code === 'rate_limited', $status === 429 => RateLimited::class,
            $code === 'history_off' => HistoryOff::class,
            $code === 'unavailable', $code === 'internal', $status >= 500 => Unavailable::class,
            default => BadRequest::class,
        };
    }

    /** @return array{code: string, detail: string}|null the problem, or null if the response is not from a broker */
    private static function problem(Answer $answer): ?array
    {
        if (!str_starts_with($answer->headers['content-type'] ?? '', 'application/problem+json')) {
            return null;
        }
        try {
            $fields = Payload::decode($answer->body);
        } catch (\JsonException) {
            return null;
        }
        if (!is_array($fields) || !is_string($fields['code'] ?? null)) {
            return null;
        }
        $detail = $fields['detail'] ?? null;
        return ['code' => $fields['code'], 'detail' => is_string($detail) ? $detail : 'The broker gave no reason.'];
    }

    private static function foreign(Answer $answer, ?float $retryAfter, string $hint): FanwireException
    {
        $status = $answer->status;
        if (in_array($status, [502, 503, 504], true)) {
            return new Unavailable(
                "A proxy answered $status in place of the broker. Is the broker behind it running?$hint",
                'unavailable',
                $status,
                $retryAfter,
            );
        }
        if ($status === 413) {
            return new TooLarge(
                'A proxy before the broker refuses bodies of this size: increase its limit (nginx: client_max_body_size).' . $hint,
                'too_large',
                $status,
            );
        }
        $what = $status >= 300 && $status < 400 ? 'a redirect, which is not followed' : 'which is not a response of a fanwire broker';
        return new UnexpectedAnswer(
            "The response is HTTP $status, $what. Check the URL, and the proxy before the broker." . self::sentence($answer) . $hint,
            'unexpected_answer',
            $status,
            $retryAfter,
        );
    }

    /** Returns a sentence in plain text, such as the broker's response to plain HTTP on its TLS port. */
    private static function sentence(Answer $answer): string
    {
        $isPlain = str_starts_with($answer->headers['content-type'] ?? '', 'text/plain');
        $isSentence = preg_match('/^[\x20-\x7e]{1,200}$/D', trim($answer->body)) === 1;
        return $isPlain && $isSentence ? ' Its text: ' . trim($answer->body) : '';
    }

    /** Returns Retry-After in seconds. The broker does not use the other form, a date. */
    private static function retryAfter(Answer $answer): ?float
    {
        $value = $answer->headers['retry-after'] ?? '';
        return preg_match('/^\d{1,9}$/D', $value) === 1 ? (float) $value : null;
    }
}
