# A clock four minutes ahead raises at the arrival; once it is put right nothing
# is late. The same reading sent again counts once.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85 event 04:00
> loud a unacknowledged
00:10 a noise=50 event 04:10
> loud a returned
00:20 a noise=85 event 04:00
00:30 a noise=50 event 00:30
00:40 a noise=90 event 00:40
> loud a unacknowledged 90
00:50 a noise=50 event 04:10
