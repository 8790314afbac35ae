<?php

/**
 * Owns the rule that a secret is shown to nobody by accident: not by var_dump, print_r, var_export, an array cast, JSON
 * or serialize. It does not know what the secret is for.
 */

declare(strict_types=1);

namespace Fanwire;

/**
 * A key or secret, held so that no dump of the objects around it shows it.
 *
 * @internal
 */
final class Secret
{
    /**
     * The values stand here and not in the objects, because var_export and casts read even private properties.
     *
     * @var \WeakMap<self, string>|null
     */
    private static ?\WeakMap $values = null;

    /** Takes the secret itself. */
    public function __construct(#[\SensitiveParameter] string $value)
    {
        self::$values ??= new \WeakMap();
        self::$values[$this] = $value;
    }

    /** The secret itself: only for the call that needs it. */
    public function reveal(): string
    {
        return self::$values[$this] ?? throw new \LogicException('A secret does not survive being copied.');
    }

    /** @return array<string, string> what dumps show */
    public function __debugInfo(): array
    {
        return ['value' => '(hidden)'];
    }

    /** @return never */
    public function __serialize(): array
    {
        throw new \LogicException('A secret is not to be stored: make the object anew from your configuration.');
    }

    private function __clone()
    {
    }
}
