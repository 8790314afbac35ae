<?php

/**
 * Owns how tokens for users are made (JSON Web Tokens, RFC 7519, signed with HS256, RFC 7518). It does not know the
 * users, nor how a token reaches the page.
 */

declare(strict_types=1);

namespace Fanwire;

use Fanwire\Exception\BadConfiguration;
use Fanwire\Exception\BadRequest;

/** Makes the tokens with which your users connect to the broker. One object serves the whole application. */
final class TokenSigner
{
    /** The minimum length of a secret, in bytes. */
    public const SECRET_BYTES_MIN = 32;
    /** The maximum length of a user id, in bytes. */
    public const USER_BYTES_MAX = 255;
    /** The maximum size of a user's info for presence, in bytes of JSON. */
    public const INFO_BYTES_MAX = 4096;
    /** The maximum size of a token, in bytes. */
    public const TOKEN_BYTES_MAX = 8192;

    private readonly Secret $secret;

    /**
     * Takes the secret, which is `auth.secret` of the broker, and the audience and issuer if the broker requires them
     * (`auth.audience`, `auth.issuer`). White space at the end of the secret is removed, as in the broker's
     * `secret_file`.
     *
     * @throws BadConfiguration when the secret is too short
     */
    public function __construct(
        #[\SensitiveParameter] string $secret,
        private readonly ?string $audience = null,
        private readonly ?string $issuer = null,
    ) {
        $secret = rtrim($secret);
        if (strlen($secret) < self::SECRET_BYTES_MIN) {
            throw new BadConfiguration(
                'The secret for tokens must have at least ' . self::SECRET_BYTES_MIN
                . ' bytes; make one with: openssl rand -base64 32',
                'bad_secret',
            );
        }
        $this->secret = new Secret($secret);
    }

    /**
     * Returns a token for a user's sessions.
     *
     * @param string       $user      the user id: {user} in the broker's rules stands for it
     * @param list<string> $subscribe topics and patterns that it may subscribe to, beside those that the rules allow
     * @param list<string> $publish   topics and patterns that it may publish to, beside those that the rules allow
     * @param mixed        $info      what other members see in presence: any JSON value
     * @param int          $lifetime  the lifetime in seconds. Keep it short; the page fetches the next token
     * @throws BadRequest when the broker would refuse the token
     */
    public function sign(
        string $user,
        array $subscribe = [],
        array $publish = [],
        mixed $info = null,
        int $lifetime = 600,
    ): string {
        if ($user === '' || strlen($user) > self::USER_BYTES_MAX) {
            throw new BadRequest('A user id has 1 to ' . self::USER_BYTES_MAX . ' bytes.', 'bad_token');
        }
        if ($lifetime < 1) {
            throw new BadRequest('The lifetime of a token is at least one second.', 'bad_token');
        }
        $grants = array_filter([
            'publish' => array_values($publish),
            'subscribe' => array_values($subscribe),
        ]);
        if ($info !== null) {
            if (strlen(Payload::encode($info)) > self::INFO_BYTES_MAX) {
                throw new BadRequest(
                    'The info of a user has at most ' . self::INFO_BYTES_MAX . ' bytes of JSON.',
                    'bad_token',
                );
            }
            $grants['info'] = $info;
        }
        $now = time();
        $claims = ['sub' => $user, 'iat' => $now, 'exp' => $now + $lifetime];
        if ($this->audience !== null) {
            $claims['aud'] = $this->audience;
        }
        if ($this->issuer !== null) {
            $claims['iss'] = $this->issuer;
        }
        if ($grants !== []) {
            $claims['fanwire'] = $grants;
        }
        return $this->encode($claims);
    }

    /**
     * Returns a token for one subscription. The page passes it as `token` to `subscribe`: it lets the user subscribe to
     * one topic that neither the rules nor the session's own token allow, until the token expires.
     *
     * @param string $user     the user id of the session
     * @param string $topic    the topic or pattern
     * @param int    $lifetime the lifetime in seconds
     * @throws BadRequest when the broker would refuse the token
     */
    public function signSubscription(string $user, string $topic, int $lifetime = 600): string
    {
        return $this->sign($user, subscribe: [$topic], lifetime: $lifetime);
    }

    /** @param array<string, mixed> $claims */
    private function encode(array $claims): string
    {
        $signed = self::base64url('{"alg":"HS256","typ":"JWT"}') . '.' . self::base64url(Payload::encode($claims));
        $token = $signed . '.' . self::base64url(hash_hmac('sha256', $signed, $this->secret->reveal(), true));
        if (strlen($token) > self::TOKEN_BYTES_MAX) {
            throw new BadRequest(
                'The token has more than ' . self::TOKEN_BYTES_MAX . ' bytes: grant patterns, or use rules.',
                'bad_token',
            );
        }
        return $token;
    }

    private static function base64url(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }
}
