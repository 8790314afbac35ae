import { FanwireError } from './errors.js';
/** Returns why a name cannot be a topic or pattern; undefined if the broker decides. */
export declare function topicError(name: unknown): FanwireError | undefined;
/** Returns whether `name` is a pattern with wildcards. */
export declare function isPattern(name: string): boolean;
/** Returns whether `pattern` matches `topic`: `*` stands for one level, `>` at the end for one or more. */
export declare function matches(pattern: string, topic: string): boolean;
