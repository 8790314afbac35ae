<?php

/** The URL of the broker, and the secrets that this application shares with it. The values are in .env. */

return [
    'url' => env('BROKER_URL', 'http://localhost:7400'),
    'public_url' => env('BROKER_PUBLIC_URL', 'http://localhost:7400'),
    'key' => env('BROKER_KEY'),
    'secret' => env('BROKER_SECRET'),
    'hooks_secret' => env('HOOKS_SECRET'),
];
