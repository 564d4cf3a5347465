# The wait goes on over a good-bye and a crash.
device a noise
rules
  - id: stuck
    when: {flat: {quantity: noise, within: 0.2, for: 2m}}
end
00:00 a noise=61.0
restart
00:40 a noise=61.0
crash
01:20 a noise=61.0
02:00 a noise=61.0
> stuck a unacknowledged
