<?php
// Publishes one message. examples/php/publish.php does the same and handles errors.
$answer = file_get_contents('http://localhost:7400/topics/chat.lobby', false, stream_context_create(['http' => [
    'method' => 'POST',
    'header' => 'Content-Type: application/json',
    'content' => json_encode(['name' => 'PHP', 'text' => 'Hello from PHP']),
]]));
echo 'Delivered to ', json_decode($answer)->subscribers, " subscribers\n";
