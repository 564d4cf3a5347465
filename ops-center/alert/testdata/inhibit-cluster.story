# Three flooded points near each other are one matter: those in the cluster are
# expected and share its group, one far away is news. When the cluster is over,
# what still holds is news again.
device a flooded-road place=106.1700,20.4200
device b flooded-road place=106.1720,20.4200
device c flooded-road place=106.1740,20.4200
device d flooded-road place=106.1900,20.4200
rules
  - id: quarter
    inhibits: {rules: [wet]}
    when: {cluster: {quantity: water_depth, count: 3, within: 500, window: 10m, where: {above: 0.2, clear: 0.15}}}
  - id: wet
    when: {threshold: {quantity: water_depth, above: 0.1, for: 30s}}
end
00:00 a water_depth=0.3
00:10 b water_depth=0.3
00:20 c water_depth=0.3
> quarter cluster:a unacknowledged 0.3
00:30 a water_depth=0.3
> wet a suppressed
00:40 d water_depth=0.3
00:45 b water_depth=0.3
> wet b suppressed
01:20 d water_depth=0.3
> wet d unacknowledged
01:21 tick
= wet d unacknowledged, quarter cluster:a unacknowledged, wet b suppressed covered-by quarter group rule:quarter, wet a suppressed covered-by quarter group rule:quarter
01:30 restart
01:31 tick
02:00 b water_depth=0.12
> quarter cluster:a returned
02:01 tick
> wet a unacknowledged
> wet b unacknowledged
