# An act on what has moved since it was looked at is refused.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:05 comment loud a by Minh
> loud a unacknowledged
00:10 shelve loud a by Lan for 5m seen 1
> conflict Minh
00:11 shelve loud a by Lan for 5m seen 2
> loud a shelved
