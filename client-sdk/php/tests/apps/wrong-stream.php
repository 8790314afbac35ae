<?php

/** An event stream that is not from fanwire. It does not know topics. */

declare(strict_types=1);

header('Content-Type: text/event-stream');
echo "data: not an object\n\n";
