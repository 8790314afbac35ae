<?php

/**
 * Owns how one or many topics are asked for in a URL. It does not know what is asked about them.
 */

declare(strict_types=1);

namespace Fanwire\Listening;

use Fanwire\Exception\BadRequest;
use Fanwire\Http\Address;

/**
 * The topics that somebody listens to.
 *
 * @internal
 */
final class Topics
{
    /** @var list<string> */
    private readonly array $names;

    /**
     * @param string|list<string> $topics
     * @throws BadRequest when there is none
     */
    public function __construct(string|array $topics)
    {
        $this->names = array_values((array) $topics);
        if ($this->names === []) {
            throw new BadRequest('Name at least one topic to listen to.', 'bad_topic');
        }
        array_map(Address::topic(...), $this->names);
    }

    /** The one topic, or null where there are more. */
    public function only(): ?string
    {
        return count($this->names) === 1 ? $this->names[0] : null;
    }

    /** The path that gives all of them. */
    public function path(): string
    {
        $only = $this->only();
        return $only === null ? '/stream' : Address::topic($only);
    }

    /** @param array<string, string> $parameters more of the query */
    public function query(array $parameters): string
    {
        $query = http_build_query($parameters, '', '&', PHP_QUERY_RFC3986);
        if ($this->only() !== null) {
            return $query;
        }
        $topics = array_map(static fn (string $name): string => 'topic=' . rawurlencode($name), $this->names);
        return implode('&', array_filter([...$topics, $query]));
    }

    /** Whether one of them has wildcards: then no position says where to go on. */
    public function hasPattern(): bool
    {
        foreach ($this->names as $name) {
            if (array_intersect(explode('.', $name), ['*', '>']) !== []) {
                return true;
            }
        }
        return false;
    }
}
