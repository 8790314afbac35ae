<?php

/**
 * Owns how a request proves that it comes from the broker. It does not know what the request is about.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

use Fanwire\Exception\BadConfiguration;
use Fanwire\Exception\BadSignature;
use Fanwire\Secret;

/** Checks the signatures of callouts and webhooks: HMAC-SHA256 (RFC 2104) over the time and the body. */
final class Signature
{
    /** The header with the signature. */
    public const HEADER = 'Fanwire-Signature';
    /** The maximum difference to the time of the signature, in seconds: a recorded request is not accepted later. */
    public const AGE_SECONDS_MAX = 300;
    /** The minimum length of `hooks.secret`, in bytes. */
    public const SECRET_BYTES_MIN = 16;

    /** @var list<Secret> */
    private readonly array $secrets;

    /**
     * Takes `hooks.secret` of the broker, and while the secret is replaced, the secret before.
     *
     * @throws BadConfiguration when a secret is too short
     */
    public function __construct(
        #[\SensitiveParameter] string $secret,
        #[\SensitiveParameter] ?string $oldSecret = null,
    ) {
        $secrets = [];
        foreach ($oldSecret === null ? [$secret] : [$secret, $oldSecret] as $one) {
            if (strlen($one) < self::SECRET_BYTES_MIN) {
                throw new BadConfiguration(
                    'The secret of a HookServer must have at least ' . self::SECRET_BYTES_MIN
                    . ' bytes. It is the same as hooks.secret of the broker.',
                    'bad_secret',
                );
            }
            $secrets[] = new Secret($one);
        }
        $this->secrets = $secrets;
    }

    /**
     * Checks that the broker signed this body within the last AGE_SECONDS_MAX.
     *
     * @param string $header the value of the header; '' if there is none
     * @param string $body   the body exactly as it was received
     * @throws BadSignature
     */
    public function verify(string $header, string $body): void
    {
        if (preg_match('/^t=(\d{1,12}),v1=([0-9a-f]{64})$/D', $header, $match) !== 1) {
            throw new BadSignature('The request has no signature of a broker.', 'bad_signature');
        }
        [, $time, $signature] = $match;
        $isSigned = false;
        foreach ($this->secrets as $secret) {
            $isSigned = hash_equals(hash_hmac('sha256', "$time.$body", $secret->reveal()), $signature) || $isSigned;
        }
        if (!$isSigned) {
            throw new BadSignature('The request is signed with another secret, or was changed on the way.', 'bad_signature');
        }
        if (abs(time() - (int) $time) > self::AGE_SECONDS_MAX) {
            throw new BadSignature(
                'The time of the signature is more than ' . self::AGE_SECONDS_MAX . ' seconds away. Check both clocks.',
                'bad_signature',
            );
        }
    }
}
