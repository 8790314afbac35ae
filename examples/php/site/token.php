<?php

/**
 * Gives the visitor a token for the broker: a few minutes long, made anew whenever the page asks. It does not know what the
 * visitor may do; the broker's rules say that.
 */

declare(strict_types=1);

require __DIR__ . '/settings.php';

$name = visitor();
if ($name === null) {
    http_response_code(401);
    exit("Sign in first.\n");
}
$signer = new Fanwire\TokenSigner((string) getenv('BROKER_SECRET'));
header('Content-Type: text/plain');
header('Cache-Control: no-store');
echo $signer->sign($name, info: ['name' => $name]);
