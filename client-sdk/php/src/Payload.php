<?php

/**
 * Owns how a PHP value becomes a payload on the wire and back: text, binary, or a JSON value. It does not know the
 * topics.
 */

declare(strict_types=1);

namespace Fanwire;

use Fanwire\Exception\BadRequest;
use Fanwire\Exception\UnexpectedAnswer;

/**
 * Payloads as in docs/protocol.md: a string is text, a Binary is binary, everything else is JSON.
 *
 * @internal
 */
final class Payload
{
    /** JSON without escapes that are not needed; 1.0 stays 1.0. */
    private const ENCODING = JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES
        | JSON_PRESERVE_ZERO_FRACTION;

    /** The maximum depth: more than a payload of the broker (128 levels) inside any response. */
    private const DEPTH_MAX = 512;

    /**
     * Returns the content type and body of a request whose body is this payload.
     *
     * @return array{string, string} the content type and the body
     * @throws BadRequest when the value is neither UTF-8 text nor JSON
     */
    public static function body(mixed $payload): array
    {
        return match (true) {
            $payload instanceof Binary => ['application/octet-stream', $payload->bytes],
            is_string($payload) => ['text/plain; charset=utf-8', self::text($payload)],
            default => ['application/json', self::encode($payload)],
        };
    }

    /**
     * Returns the fields of a JSON object that hold this payload.
     *
     * @return array{data: mixed}|array{data_base64: string}
     * @throws BadRequest when the value is neither UTF-8 text nor JSON
     */
    public static function fields(mixed $payload): array
    {
        return match (true) {
            $payload instanceof Binary => ['data_base64' => base64_encode($payload->bytes)],
            is_string($payload) => ['data' => self::text($payload)],
            default => ['data' => $payload],
        };
    }

    /**
     * Returns the payload of a JSON object: a string, a Binary, or a JSON value with objects as arrays.
     *
     * @param array<string, mixed> $fields
     */
    public static function read(array $fields): mixed
    {
        if (!isset($fields['data_base64'])) {
            return $fields['data'] ?? null;
        }
        $bytes = base64_decode((string) $fields['data_base64'], true);
        return new Binary($bytes === false ? '' : $bytes);
    }

    /**
     * Returns a value as JSON.
     *
     * @throws BadRequest when the value cannot be written
     */
    public static function encode(mixed $value): string
    {
        try {
            $json = json_encode($value, self::ENCODING, self::DEPTH_MAX);
            // Only such a text can hold an object that json_encode has emptied.
            if (str_contains($json, '{}') || str_contains($json, '{"bytes":')) {
                self::checkObjects($value);
            }
            return $json;
        } catch (\JsonException $error) {
            throw new BadRequest(
                "The payload cannot be written as JSON ({$error->getMessage()}). Publish bytes that are not UTF-8 "
                . 'as new Fanwire\Binary($bytes).',
                'bad_payload',
            );
        }
    }

    /**
     * Returns the value of a JSON text, with objects as arrays. A whole number that does not fit into PHP's int becomes a string of its
     * digits; as a float it would be another number.
     *
     * @throws \JsonException when the text is not JSON
     */
    public static function decode(string $json): mixed
    {
        return json_decode($json, true, self::DEPTH_MAX, JSON_THROW_ON_ERROR | JSON_BIGINT_AS_STRING);
    }

    /**
     * Returns a whole number of the broker's JSON, or null where the field is missing.
     *
     * @param array<string, mixed> $fields
     * @throws UnexpectedAnswer when the field is something else, such as a number beyond PHP's int
     */
    public static function int(array $fields, string $name): ?int
    {
        $value = $fields[$name] ?? null;
        if ($value !== null && !is_int($value)) {
            throw new UnexpectedAnswer(
                "The broker's answer has a field '$name' that is not a whole number that fits into an int of PHP.",
                'unexpected_answer',
            );
        }
        return $value;
    }

    /**
     * Refuses objects whose JSON has nothing of their contents: closures, generators, collections, objects without
     * public properties. A Binary is a payload, not a part of one.
     */
    private static function checkObjects(mixed $value): void
    {
        if (is_object($value) && !$value instanceof \JsonSerializable) {
            $isData = $value instanceof \stdClass || $value instanceof \ArrayObject || $value instanceof \ArrayIterator;
            if ($value instanceof Binary || (!$isData && get_object_vars($value) === [])) {
                throw new BadRequest(
                    'The payload has an object of ' . get_debug_type($value) . ', which JSON cannot hold. Publish an '
                    . 'array, a JsonSerializable, or a Binary as the whole payload: new Fanwire\Binary($bytes).',
                    'bad_payload',
                );
            }
            $value = get_object_vars($value);
        }
        if (is_array($value)) {
            array_walk($value, static fn (mixed $part) => self::checkObjects($part));
        }
    }

    private static function text(string $text): string
    {
        if (preg_match('//u', $text) !== 1) {
            throw new BadRequest(
                'The text to publish is not UTF-8. Convert it, or publish the bytes as new Fanwire\Binary($bytes).',
                'bad_payload',
            );
        }
        return $text;
    }
}
