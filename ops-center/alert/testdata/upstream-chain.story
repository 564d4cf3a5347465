# A carrier's link, a cabinet on it, a device in that: the topmost explains all.
device link gateway
device cabinet gateway upstream=link
device a noise upstream=cabinet
rules
  - id: silent
    when: {silence: {intervals: 4}}
end
00:00 link load=1
00:00 cabinet load=1
00:00 a noise=50
02:00 tick
> silent a suppressed
> silent cabinet suppressed
> silent link unacknowledged
= silent link unacknowledged with 2, silent a suppressed because link, silent cabinet suppressed because link
# The link is back, the cabinet is not: it explains the device from then on, and
# is news itself when it had time to come back.
02:30 link load=1
> silent link returned
02:31 tick
> silent a suppressed
= silent link returned with 1, silent a suppressed because cabinet, silent cabinet suppressed because link
03:30 link load=1
04:30 link load=1
04:30 tick
04:31 tick
> silent cabinet unacknowledged
= silent cabinet unacknowledged with 1, silent link returned, silent a suppressed because cabinet
