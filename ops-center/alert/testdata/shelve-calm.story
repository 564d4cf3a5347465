# What is over when its time is over is over.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:10 shelve loud a by Lan for 10m
> loud a shelved
01:00 a noise=50
> loud a shelved
10:11 tick
> loud a normal
= none
