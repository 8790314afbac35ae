<?php

/**
 * Publishes to a topic ten times a second until it is ended: php publish-later.php URL TOPIC. It does not know the
 * subscribers.
 */

declare(strict_types=1);

require __DIR__ . '/../../autoload.php';

$broker = new Fanwire\Broker($argv[1]);
for ($number = 1;; $number++) {
    $broker->publish($argv[2], ['text' => 'later', 'number' => $number]);
    usleep(100_000);
}
