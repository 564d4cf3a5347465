# Eleven alarms in ten minutes are a flood for one operator and none for two; it
# ends when fewer than five are left in the window.
device d0 noise
device d1 noise
device d2 noise
device d3 noise
device d4 noise
device d5 noise
device d6 noise
device d7 noise
device d8 noise
device d9 noise
device d10 noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 flood 2 operators
00:00 d0 noise=85
> loud d0 unacknowledged
00:01 d1 noise=85
> loud d1 unacknowledged
00:02 d2 noise=85
> loud d2 unacknowledged
00:03 d3 noise=85
> loud d3 unacknowledged
00:04 d4 noise=85
> loud d4 unacknowledged
00:05 d5 noise=85
> loud d5 unacknowledged
00:06 d6 noise=85
> loud d6 unacknowledged
00:07 d7 noise=85
> loud d7 unacknowledged
00:08 d8 noise=85
> loud d8 unacknowledged
00:09 d9 noise=85
> loud d9 unacknowledged
00:10 d10 noise=85
> loud d10 unacknowledged
00:20 tick
00:20 note calm
00:21 flood 1 operators
00:21 tick
00:21 note flood
00:30 restart
00:31 tick
00:31 note flood
10:05 tick
10:05 note flood
10:06 tick
10:06 note calm
