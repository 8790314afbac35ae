<?php

/**
 * Owns a minimal WebSocket client (RFC 6455) in place of a browser. It does not know what frames mean.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

/** One session at /ws, in JSON. */
final class PlainSocket
{
    private const PATIENCE_SECONDS = 20;

    /** @var resource */
    private $stream;

    /** Opens a session, with a token if there is one. */
    public function __construct(int $port, ?string $token = null)
    {
        $stream = stream_socket_client("tcp://127.0.0.1:$port", $code, $text, self::PATIENCE_SECONDS);
        if ($stream === false) {
            throw new \RuntimeException("No connection: $text");
        }
        $this->stream = $stream;
        stream_set_timeout($stream, self::PATIENCE_SECONDS);
        $key = base64_encode(random_bytes(16));
        $bearer = $token === null ? '' : "Authorization: Bearer $token\r\n";
        fwrite($stream, "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:$port\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            . "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: $key\r\n$bearer\r\n");
        $status = (string) fgets($stream);
        if (!str_contains($status, ' 101 ')) {
            throw new \RuntimeException("The handshake failed: $status");
        }
        while (trim((string) fgets($stream)) !== '') {
            continue;
        }
    }

    /** @param array<string, mixed> $frame */
    public function say(array $frame): void
    {
        $text = json_encode($frame, JSON_THROW_ON_ERROR);
        $mask = random_bytes(4);
        $length = strlen($text) < 126 ? chr(0x80 | strlen($text)) : chr(0x80 | 126) . pack('n', strlen($text));
        $masked = $text ^ str_repeat($mask, intdiv(strlen($text), 4) + 1);
        fwrite($this->stream, "\x81$length$mask$masked");
    }

    /**
     * Waits for a frame of a type.
     *
     * @return array<string, mixed>
     */
    public function await(string $type): array
    {
        while (true) {
            [$first, $length] = array_values((array) unpack('C2', $this->bytes(2)));
            if ($length === 126) {
                $length = unpack('n', $this->bytes(2))[1];
            } elseif ($length === 127) {
                $length = unpack('J', $this->bytes(8))[1];
            }
            $text = $this->bytes($length);
            if (($first & 0x0f) === 8) {
                throw new \RuntimeException("Waiting for '$type', the session was closed.");
            }
            if (($first & 0x0f) === 1) {
                $frame = json_decode($text, true, 512, JSON_THROW_ON_ERROR);
                if ($frame['type'] === $type) {
                    return $frame;
                }
            }
        }
    }

    /** Ends a subscription and waits until that is done. */
    public function leave(string $topic): void
    {
        $this->say(['type' => 'unsubscribe', 'id' => 4_000_000_000, 'topic' => $topic]);
        $this->await('unsubscribed');
    }

    /** Closes the connection as a browser does when a tab is closed. */
    public function close(): void
    {
        fwrite($this->stream, "\x88\x82\0\0\0\0\x03\xe8");
        fclose($this->stream);
    }

    private function bytes(int $length): string
    {
        $bytes = '';
        while (strlen($bytes) < $length) {
            $more = fread($this->stream, $length - strlen($bytes));
            if ($more === false || $more === '') {
                throw new \RuntimeException('The session ended, or no frame came in time.');
            }
            $bytes .= $more;
        }
        return $bytes;
    }
}
