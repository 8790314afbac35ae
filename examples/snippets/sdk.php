<?php
// Publishes one message, and prints the newest messages of the topic.
require __DIR__ . '/vendor/autoload.php';

$broker = new Fanwire\Broker('http://localhost:7400');
$receipt = $broker->publish('chat.lobby', ['name' => 'PHP', 'text' => 'Hello from PHP']);
echo "Delivered to {$receipt->subscribers} subscribers\n";

foreach ($broker->history('chat.lobby', limit: 10) as $message) {
    echo json_encode($message->data), "\n";
}
