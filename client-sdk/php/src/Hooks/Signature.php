<?php

/**
 * Owns how a call proves that it comes from the broker. It does not know what the call says.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

use Fanwire\Exception\BadConfiguration;
use Fanwire\Exception\BadSignature;
use Fanwire\Secret;

/** Checks signatures of hooks: HMAC-SHA256 (RFC 2104) over the time and the body. */
final class Signature
{
    /** The header that holds it. */
    public const HEADER = 'Fanwire-Signature';
    /** How far its time may be away, in seconds, so that nobody can send an old call again. */
    public const AGE_SECONDS_MAX = 300;
    /** What the broker wants `hooks.secret` to have at least, in bytes. */
    public const SECRET_BYTES_MIN = 16;

    /** @var list<Secret> */
    private readonly array $secrets;

    /**
     * Takes `hooks.secret` of the broker, and while it is being changed, the one before.
     *
     * @throws BadConfiguration when one is too short
     */
    public function __construct(
        #[\SensitiveParameter] string $secret,
        #[\SensitiveParameter] ?string $oldSecret = null,
    ) {
        $secrets = [];
        foreach ($oldSecret === null ? [$secret] : [$secret, $oldSecret] as $one) {
            if (strlen($one) < self::SECRET_BYTES_MIN) {
                throw new BadConfiguration(
                    'The secret for hooks must have at least ' . self::SECRET_BYTES_MIN
                    . ' bytes, and be the same as hooks.secret of the broker.',
                    'bad_secret',
                );
            }
            $secrets[] = new Secret($one);
        }
        $this->secrets = $secrets;
    }

    /**
     * Refuses what the broker has not signed just now.
     *
     * @param string $header the value of the header; '' if there is none
     * @param string $body   the body exactly as it was received
     * @throws BadSignature
     */
    public function verify(string $header, string $body): void
    {
        if (preg_match('/^t=(\d{1,12}),v1=([0-9a-f]{64})$/D', $header, $match) !== 1) {
            throw new BadSignature('The call has no signature of a broker.', 'bad_signature');
        }
        [, $time, $signature] = $match;
        $isSigned = false;
        foreach ($this->secrets as $secret) {
            $isSigned = hash_equals(hash_hmac('sha256', "$time.$body", $secret->reveal()), $signature) || $isSigned;
        }
        if (!$isSigned) {
            throw new BadSignature('The call is signed with another secret, or was changed.', 'bad_signature');
        }
        if (abs(time() - (int) $time) > self::AGE_SECONDS_MAX) {
            throw new BadSignature(
                'The call was signed more than ' . self::AGE_SECONDS_MAX . ' seconds ago, or in the future.',
                'bad_signature',
            );
        }
    }
}
