# A device that is retired or removed takes its alarms with it.
device a noise
device b noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:01 b noise=85
> loud b unacknowledged
00:10 state a retired
00:20 tick
> loud a returned
00:30 remove b
00:40 tick
> loud b returned
00:50 ack loud b by Lan
> loud b normal
