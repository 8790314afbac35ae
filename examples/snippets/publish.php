<?php
// Publishes from plain PHP. See examples/php/publish.php for the same with errors handled.
$answer = file_get_contents('http://localhost:7400/topics/chat.lobby', false, stream_context_create(['http' => [
    'method' => 'POST',
    'header' => 'Content-Type: application/json',
    'content' => json_encode(['name' => 'PHP', 'text' => 'Hello from PHP']),
]]));
echo 'Delivered to ', json_decode($answer)->subscribers, " subscribers\n";
