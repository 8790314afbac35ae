<?php
// Publishes and reads back with the PHP client, from a checkout. With Composer it is vendor/autoload.php that is required.
require __DIR__ . '/../../client-sdk/php/autoload.php';

$broker = new Fanwire\Broker('http://localhost:7400');
$receipt = $broker->publish('chat.lobby', ['name' => 'PHP', 'text' => 'Hello from PHP']);
echo "Delivered to {$receipt->subscribers} subscribers\n";

foreach ($broker->history('chat.lobby', limit: 10) as $message) {
    echo json_encode($message->data), "\n";
}
