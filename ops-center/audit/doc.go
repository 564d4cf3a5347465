// Package audit is the record of what people and machines did here, or were
// refused: append-only, chained by hashes, and readable by whoever doubts it.
//
// # The chain
//
// A record is one line of JSON (see Entry). Its member "prev" is the SHA-256 of
// the bytes of the line before it, without the line feed; that of line 1 is 64
// zeros. "n" counts from 1 without a gap. What is stored, exported, sent to a
// syslog receiver and verified are the same bytes, so an export verifies without
// this program:
//
//	prev=$(printf '0%.0s' {1..64}); while IFS= read -r line; do
//	  [ "$(jq -r .prev <<<"$line")" = "$prev" ] || echo "broken before $line"
//	  prev=$(printf %s "$line" | sha256sum | cut -d' ' -f1); done <export.jsonl
//
// Altering, removing, inserting or moving a line breaks the chain at that line,
// and Verify names it. Somebody who may write the disk can recompute every later
// line, or cut off the end: against that stand checkpoints, a line number and
// its hash signed with the key of this server (Ed25519, audit.key in the data
// folder). One that was carried away (printed, mailed, sent by syslog) proves
// that the line and all before it are still what they were; one that names a line
// behind the end of the chain proves that the end is missing. A checkpoint that
// lies beside the record is worth as much as the key that lies beside it.
//
// # What is promised
//
// A change is answered after its record is on disk. While the record cannot be
// written, changes are refused beforehand with 503; a request that was under way
// at that moment has its record owed, in memory, and the record says when it
// goes on that it was interrupted. Exceptions are logging in and out and letting
// the journal resume, without which nobody could mend anything: these are owed
// too. Acknowledging an alarm is no exception: alarms are kept in the same
// journal, so it could not be kept either.
//
// Refusals, failed attempts and reads of what is sensitive are not waited for,
// and bounded: of each source (a /64) the first few in a minute have a record of
// their own, the rest is counted in one more. A stranger can therefore neither
// fill the disk nor hold up those who work.
//
// # Personal data and secrets
//
// Who did something is on record by a pseudonym, a random number, and nothing
// else: the name belonging to it is beside the chain, in a bucket that Names
// keeps. To erase a person is to delete that name; the chain stays whole, and
// still says that the same somebody did two things. What was before and after a
// change passes through Keep, which leaves out every field that is declared
// personal (a struct tag `personal:"..."`) or whose name says that it is a
// secret, and every value that looks like one of our tokens.
package audit
