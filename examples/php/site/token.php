<?php

/**
 * Returns a token for the visitor, valid for ten minutes. The page fetches a new token before the old one expires. What the
 * visitor may do is not in the token: the rules of the broker say it.
 */

declare(strict_types=1);

require __DIR__ . '/settings.php';

$name = visitor();
if ($name === null) {
    http_response_code(401);
    exit("Enter your name first.\n");
}
$signer = new Fanwire\TokenSigner((string) getenv('BROKER_SECRET'));
header('Content-Type: text/plain');
header('Cache-Control: no-store');
echo $signer->sign($name, info: ['name' => $name]);
