<?php

/** Where the broker is, and what this application shares with it; the values stand in .env. */

return [
    'url' => env('BROKER_URL', 'http://localhost:7400'),
    'public_url' => env('BROKER_PUBLIC_URL', 'http://localhost:7400'),
    'key' => env('BROKER_KEY'),
    'secret' => env('BROKER_SECRET'),
    'hooks_secret' => env('HOOKS_SECRET'),
];
