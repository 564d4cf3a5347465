# Taken back by hand; twice means nothing.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:10 shelve loud a by Lan for 1h
> loud a shelved
00:20 unshelve loud a by Minh
> loud a unacknowledged
00:21 unshelve loud a by Lan
> conflict Minh
