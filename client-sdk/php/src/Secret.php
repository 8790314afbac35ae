<?php

/**
 * Owns the rule that no dump shows a secret: var_dump, print_r, var_export, an array cast, JSON, serialize. It does not
 * know what the secret is for.
 */

declare(strict_types=1);

namespace Fanwire;

/**
 * A key or secret. Dumps of the objects that hold it do not show it.
 *
 * @internal
 */
final class Secret
{
    /**
     * The values are here and not in the objects, because var_export and casts read private properties, too.
     *
     * @var \WeakMap<self, string>|null
     */
    private static ?\WeakMap $values = null;

    /** Takes the secret. */
    public function __construct(#[\SensitiveParameter] string $value)
    {
        self::$values ??= new \WeakMap();
        self::$values[$this] = $value;
    }

    /** Returns the secret, for the code that sends or signs with it. */
    public function reveal(): string
    {
        return self::$values[$this] ?? throw new \LogicException('A secret cannot be copied: make the object anew from your configuration.');
    }

    /** @return array<string, string> the value that dumps show */
    public function __debugInfo(): array
    {
        return ['value' => '(hidden)'];
    }

    /** @return never */
    public function __serialize(): array
    {
        throw new \LogicException('A secret cannot be serialized: make the object anew from your configuration.');
    }

    private function __clone()
    {
    }
}
