<?php

/**
 * Owns which exception an answer that is no success becomes. It does not know what was asked.
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
 * Answers that are no success, as exceptions: `application/problem+json` (RFC 9457) of the broker, or whatever else a
 * proxy says in its place.
 *
 * @internal
 */
final class Problem
{
    /**
     * Returns the exception for an answer.
     *
     * @param string $hint a sentence to add where the answer is not from a broker; it begins with a space
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
     * The kind of exception that goes with an error code of the broker.
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

    /** @return array{code: string, detail: string}|null what the broker says, if it is the broker who says it */
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
                'A proxy before the broker refuses bodies of this size: raise its limit (nginx: client_max_body_size).' . $hint,
                'too_large',
                $status,
            );
        }
        $what = $status >= 300 && $status < 400 ? 'a redirect, which is not followed' : 'no answer of a fanwire broker';
        return new UnexpectedAnswer(
            "What came is HTTP $status, $what. Check the URL, and what a proxy makes of it." . self::sentence($answer) . $hint,
            'unexpected_answer',
            $status,
            $retryAfter,
        );
    }

    /** A sentence for people in plain text, such as the broker's own to whoever speaks plain HTTP to its TLS port. */
    private static function sentence(Answer $answer): string
    {
        $isPlain = str_starts_with($answer->headers['content-type'] ?? '', 'text/plain');
        $isSentence = preg_match('/^[\x20-\x7e]{1,200}$/D', trim($answer->body)) === 1;
        return $isPlain && $isSentence ? ' It says: ' . trim($answer->body) : '';
    }

    /** In seconds. The other form of the header, a date, the broker does not use. */
    private static function retryAfter(Answer $answer): ?float
    {
        $value = $answer->headers['retry-after'] ?? '';
        return preg_match('/^\d{1,9}$/D', $value) === 1 ? (float) $value : null;
    }
}
