# A sensor that says the same for half an hour is stuck. One that trembles is not.
device a noise
device b noise
rules
  - id: stuck
    when: {flat: {quantity: noise, within: 0.2, for: 2m}}
end
00:00 a noise=61.0
00:00 b noise=61.0
00:30 a noise=61.1
00:30 b noise=61.6
01:00 a noise=61.0
01:00 b noise=60.9
01:30 a noise=61.1
01:30 b noise=61.5
02:00 a noise=61.0
> stuck a unacknowledged 61
02:00 b noise=61.0
02:30 a noise=61.3        # it moves again
> stuck a returned
