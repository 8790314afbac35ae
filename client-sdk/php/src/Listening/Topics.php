<?php

/**
 * Owns how one or many topics are written in a URL. It does not know the call.
 */

declare(strict_types=1);

namespace Fanwire\Listening;

use Fanwire\Exception\BadRequest;
use Fanwire\Http\Address;

/**
 * The topics and patterns of a subscription.
 *
 * @internal
 */
final class Topics
{
    /** @var list<string> */
    private readonly array $names;

    /**
     * @param string|list<string> $topics
     * @throws BadRequest when the list is empty or a topic is invalid
     */
    public function __construct(string|array $topics)
    {
        $this->names = array_values((array) $topics);
        if ($this->names === []) {
            throw new BadRequest('Pass at least one topic to listen().', 'bad_topic');
        }
        array_map(Address::topic(...), $this->names);
    }

    /** Returns the topic, or null if there are several. */
    public function only(): ?string
    {
        return count($this->names) === 1 ? $this->names[0] : null;
    }

    /** Returns the path of the subscription. */
    public function path(): string
    {
        $only = $this->only();
        return $only === null ? '/stream' : Address::topic($only);
    }

    /** @param array<string, string> $parameters further parameters of the query */
    public function query(array $parameters): string
    {
        $query = http_build_query($parameters, '', '&', PHP_QUERY_RFC3986);
        if ($this->only() !== null) {
            return $query;
        }
        $topics = array_map(static fn (string $name): string => 'topic=' . rawurlencode($name), $this->names);
        return implode('&', array_filter([...$topics, $query]));
    }

    /** Returns whether one of them has wildcards: a pattern has no position. */
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
