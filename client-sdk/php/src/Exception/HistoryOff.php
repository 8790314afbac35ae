<?php

/**
 * Owns questions about a past that is not kept. It does not know the rule that says so.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** The topic keeps no history. */
final class HistoryOff extends FanwireException
{
    public function advice(): string
    {
        return 'Listen instead of reading back, or give the topic a history in its rule.';
    }
}
