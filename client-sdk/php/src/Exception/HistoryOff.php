<?php

/**
 * Owns reads of a history that is not kept. It does not know the rule of the topic.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** The topic keeps no history. */
final class HistoryOff extends FanwireException
{
    public function advice(): string
    {
        return 'Use listen() instead of history(), or give the topic a history in its rule.';
    }
}
