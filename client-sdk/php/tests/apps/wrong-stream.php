<?php

/** An event stream that is none of fanwire's. It knows no topics. */

declare(strict_types=1);

header('Content-Type: text/event-stream');
echo "data: not an object\n\n";
