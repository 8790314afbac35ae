#!/usr/bin/env bash
# Checks this package as it is installed, and tests it with the real broker: the syntax of every file, PSR-12,
# composer.json, Composer's own autoloader, PHPUnit. Nothing is downloaded. FANWIRE_BIN names another broker than the debug build.
set -euo pipefail
cd "$(dirname "$0")"
export COMPOSER_ALLOW_SUPERUSER=1 COMPOSER_DISABLE_NETWORK=1

find autoload.php src tests -name '*.php' -print0 | xargs -0 -n 1 php -d error_reporting=-1 -l | grep -v '^No syntax errors' && exit 1
phpcs -n --standard=PSR12 autoload.php src tests
composer validate --strict --no-interaction
composer dump-autoload --quiet --no-interaction --optimize --strict-psr
# The suite takes less than a minute; a longer run hangs.
timeout 300 phpunit "$@"
