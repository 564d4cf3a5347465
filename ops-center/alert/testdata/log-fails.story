# While the log takes nothing nobody hears of anything, and nothing is lost.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
log fails
00:00 a noise=85
> error
00:10 a noise=60
> error
= none
log works
00:20 tick
> loud a unacknowledged
00:30 a noise=60 event 00:25
> loud a returned
log fails
00:40 ack loud a by Lan
> error
= loud a returned
log works
00:50 ack loud a by Lan
> loud a normal
