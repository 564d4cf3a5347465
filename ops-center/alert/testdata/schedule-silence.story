# Nobody is called at night because a school's sensor sleeps.
device a noise
rules
  - id: silent
    schedule: {hours: ["00:10-00:59"]}
    when: {silence: {after: 1m}}
end
00:00 a noise=50
05:00 tick
10:00 tick
> silent a unacknowledged
