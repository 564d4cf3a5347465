# The log takes a record and cannot say so: it is found there, not written twice.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
log loses
00:00 a noise=85
> error
log works
00:10 tick
> loud a unacknowledged
log loses
00:20 ack loud a by Lan
> error
log works
00:30 tick
> loud a acknowledged
00:31 ack loud a by Minh
> conflict Lan
