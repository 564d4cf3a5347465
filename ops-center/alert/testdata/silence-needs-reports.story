# What counts is when a report arrives: an old one that arrives now shows that
# the device is there. A device that never reported is silent too.
device a noise
device b noise
rules
  - id: silent
    when: {silence: {after: 5m}}
end
01:00 a noise=50
05:00 tick
> silent b unacknowledged
05:50 a noise=50 event 00:30
06:30 tick
10:51 tick
> silent a unacknowledged
