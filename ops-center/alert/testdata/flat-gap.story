# A gap is no flat line: while nothing is reported nothing is known.
device a noise
rules
  - id: stuck
    when: {flat: {quantity: noise, within: 0.2, for: 2m}}
end
00:00 a noise=61.0
00:30 a noise=61.0
10:00 a noise=61.0
11:00 a noise=61.0
12:00 a noise=61.0
> stuck a unacknowledged
