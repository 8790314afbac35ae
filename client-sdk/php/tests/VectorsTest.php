<?php

/**
 * The golden vectors of the protocol (protocol/vectors), as far as this package reads and writes them.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\Binary;
use Fanwire\Message;
use Fanwire\Payload;
use Fanwire\Presence;
use PHPUnit\Framework\TestCase;

final class VectorsTest extends TestCase
{
    /** @return array<string, array{string}> frames of one type by their names */
    private static function frames(string $file, string $type): array
    {
        $text = (string) file_get_contents(__DIR__ . "/../../../protocol/vectors/$file.json");
        $frames = [];
        foreach (json_decode($text, true, 512, JSON_THROW_ON_ERROR) as $vector) {
            $frame = isset($vector['json']) ? json_decode($vector['json'], true) : null;
            // Positions beyond 2^63 - 1 are an error, which NumbersTest shows.
            $isWide = preg_match('/\d{19}/', $vector['json'] ?? '') === 1;
            if (($frame['type'] ?? null) === $type && !isset($vector['decode_only']) && !$isWide) {
                $frames[$vector['name']] = [$vector['json']];
            }
        }
        return $frames;
    }

    /** @return array<string, array{string}> */
    public function messages(): array
    {
        return self::frames('server', 'message');
    }

    /** @return array<string, array{string}> */
    public function publishes(): array
    {
        return self::frames('client', 'publish');
    }

    /** @dataProvider messages */
    public function testMessagesAreRead(string $json): void
    {
        $fields = json_decode($json, true, 512, JSON_THROW_ON_ERROR);
        $message = Message::read($fields);
        self::assertSame($fields['topic'], $message->topic);
        self::assertSame($fields['offset'] ?? null, $message->offset);
        self::assertSame($fields['epoch'] ?? null, $message->epoch);
        self::assertSame($fields['ts'] ?? null, $message->timeMs);
        self::assertSame($fields['from'] ?? null, $message->from);
        if (isset($fields['data_base64'])) {
            self::assertInstanceOf(Binary::class, $message->data);
            self::assertSame($fields['data_base64'], base64_encode($message->data->bytes));
        } else {
            self::assertSame($fields['data'], $message->data);
        }
    }

    /** @dataProvider publishes */
    public function testPayloadsAreWrittenAsTheVectorsHaveThem(string $json): void
    {
        $fields = json_decode($json, true, 512, JSON_THROW_ON_ERROR);
        $written = Payload::encode(Payload::fields(Payload::read($fields)));
        self::assertNotEmpty($written);
        self::assertStringContainsString(trim($written, '{}'), $json . '}');
    }

    /** @return array<string, array{string}> */
    public function presences(): array
    {
        return self::frames('server', 'presence');
    }

    /** @dataProvider presences */
    public function testMembersAreRead(string $json): void
    {
        $fields = json_decode($json, true, 512, JSON_THROW_ON_ERROR);
        $presence = Presence::read($fields);
        self::assertCount(count($fields['members']), $presence);
        self::assertSame($fields['more'] ?? false, $presence->more);
        foreach ($presence as $place => $member) {
            $expected = $fields['members'][$place];
            self::assertSame($expected['user'], $member->user ?? '');
            self::assertSame($expected['connection'], $member->connection);
            $info = $member->info instanceof Binary ? base64_encode($member->info->bytes) : $member->info;
            self::assertSame($expected['info_base64'] ?? $expected['info'] ?? null, $info);
        }
    }

    public function testVectorsExist(): void
    {
        self::assertGreaterThan(3, count($this->messages()));
        self::assertGreaterThan(3, count($this->publishes()));
        self::assertGreaterThan(0, count($this->presences()));
    }
}
