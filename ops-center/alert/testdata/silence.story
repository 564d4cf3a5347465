# Four intervals of 30 s without a report. The clock raises it, a report ends it.
device a noise
rules
  - id: silent
    when: {silence: {intervals: 4}}
end
00:00 a noise=50
01:00 a noise=50
02:00 tick
02:59 tick
03:00 tick
> silent a unacknowledged
03:10 tick
04:00 a noise=50
> silent a returned
04:01 tick
