<?php

/**
 * A website in place of a broker, for tests of a wrong URL. It does not know topics.
 */

declare(strict_types=1);

$path = (string) parse_url((string) $_SERVER['REQUEST_URI'], PHP_URL_PATH);
$first = explode('/', $path)[1];
if ($first === 'followed') {
    error_log('followed with ' . ($_SERVER['HTTP_AUTHORIZATION'] ?? 'nothing'));
}
match ($first) {
    'redirect' => header('Location: /followed', true, 302),
    'missing' => http_response_code(404),
    'gateway' => http_response_code(502),
    'large' => http_response_code(413),
    'json' => print('"a string"'),
    default => null,
};
if ($first !== 'json') {
    echo '<!doctype html><html><body>Hello</body></html>';
}
