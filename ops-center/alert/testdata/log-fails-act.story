# An act that the log does not take has not happened; one whose answer was lost
# has.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
log fails
00:10 shelve loud a by Lan for 10m
> error
= loud a unacknowledged
log works
00:11 tick
= loud a unacknowledged
log loses
00:12 shelve loud a by Lan for 10m
> error
log works
00:13 tick
> loud a shelved
= loud a shelved shelved-by Lan
