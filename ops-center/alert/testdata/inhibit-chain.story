# A level over the third is over the first two as well: one alarm a station is
# shown. The lower ones share its group, and name as their cause what is shown.
device r river-level
rules
  - id: bd1
    when: {threshold: {quantity: water_level, above: 1, clear: 0.9}}
  - id: bd2
    inhibits: {rules: [bd1]}
    when: {threshold: {quantity: water_level, above: 2, clear: 1.9}}
  - id: bd3
    inhibits: {rules: [bd1, bd2]}
    when: {threshold: {quantity: water_level, above: 3, clear: 2.9}}
end
00:00 r water_level=1.5
> bd1 r unacknowledged
01:00 r water_level=2.5
> bd2 r unacknowledged
01:01 tick
> bd1 r suppressed
01:02 tick
= bd2 r unacknowledged, bd1 r suppressed covered-by bd2 group rule:bd2
02:00 r water_level=3.5
> bd3 r unacknowledged
02:01 tick
> bd2 r suppressed
02:02 tick
> bd1 r suppressed
02:03 tick
= bd3 r unacknowledged, bd2 r suppressed covered-by bd3 group rule:bd3, bd1 r suppressed covered-by bd3 group rule:bd3
03:00 r water_level=2.5
> bd3 r returned
03:01 tick
> bd1 r suppressed
> bd2 r unacknowledged
03:02 tick
> bd1 r suppressed
03:04 tick
= bd3 r returned, bd2 r unacknowledged, bd1 r suppressed covered-by bd2 group rule:bd2
